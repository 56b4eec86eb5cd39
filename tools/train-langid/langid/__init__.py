"""Training recipe of the small language-identification model."""
