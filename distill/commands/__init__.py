"""The commands of `distill`, by what they are about. They import what they need when they run: `--help` loads no torch."""
