"""The built-in search spaces, registered by entry points like those of any other package."""
