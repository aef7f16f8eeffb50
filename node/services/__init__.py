"""What the doors share: one module per theme, each between a door and the node.

Nothing here knows HTTP; what goes wrong is raised as an error of the tree.
"""
