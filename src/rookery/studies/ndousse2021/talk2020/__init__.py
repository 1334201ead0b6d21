"""What the first author's talk of 2020 adds to the paper."""
