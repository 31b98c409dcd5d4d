"""What searches by gradient share: logits, the architectures they stand for, and their health."""
