"""The commands: each in a file of its own, on top of the API."""
