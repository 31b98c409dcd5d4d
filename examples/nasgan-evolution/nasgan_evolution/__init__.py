"""Evolution of architectures, for nasgan."""
