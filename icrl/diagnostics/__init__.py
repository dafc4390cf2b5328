"""What a trained agent has learnt: distances, calibration, recognition."""
