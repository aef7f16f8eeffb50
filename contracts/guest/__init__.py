"""What runs inside WebAssembly. The files beside this one are contract-side code: nothing of the node imports them.

`build.py` makes `contract.wasm.xz` of them; nodes agree on the exact bytes of it.
"""
