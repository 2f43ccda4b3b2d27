"""Students: small encoders made from trained ones."""
