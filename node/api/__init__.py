"""The partner API: what a firm's own systems and its command line say to its node over HTTP.

`routes` declares a route with its scopes, answers and errors; one module per theme has the
routes; `errors` is the one table from errors to HTTP. Reference: docs/reference/api.md.
"""
