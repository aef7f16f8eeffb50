"""Schema migrations; part of the package, found by `script_location`."""
