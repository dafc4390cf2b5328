"""One script per question or paper figure; each runs alone and imports downwards."""
