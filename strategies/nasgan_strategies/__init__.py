"""nasgan's own search strategies, registered by entry points like anybody else's."""
