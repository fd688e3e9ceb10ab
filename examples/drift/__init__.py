"""A server that tells when its digits are no longer those that it was calibrated on."""
