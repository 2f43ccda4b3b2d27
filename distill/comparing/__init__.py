"""Many runs side by side: quality paired on their predictions, speed with intervals of ratios, a front, and gates for CI."""
