"""Building blocks of networks: recurrent cells, layers, convolutions, and their numpy forms."""
