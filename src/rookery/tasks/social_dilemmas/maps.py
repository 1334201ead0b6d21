"""Maps: the two published ones, cell by cell, and small ones of our own. Characters as in `tiles.CHAR_TO_TILE`."""

CLEANUP = """
##################
#~~~~~~.....,,,,,#
#wwwwww......,,,,#
#~~~~~~.....,,,,,#
#~~~~~..A....,,,,#
#~~~~~....A.,,,,,#
#wwwww.......,,,,#
#~~~~~......,,,,,#
#wwwwww======,,,,#
#wwwwww======,,,,#
#~~~~~...A.A.,,,,#
#wwwww...A..,,,,,#
#~~~~~~....A.,,,,#
#wwwwww.A...,,,,,#
#~~~~~.......,,,,#
#wwww....A..,,,,,#
#~~~~~.......,,,,#
#wwwww..A.A.,,,,,#
#~~~~~.......,,,,#
#wwww.......,,,,,#
#~~~~~.......,,,,#
#wwwww......,,,,,#
#~~~~~.......,,,,#
#wwww.......,,,,,#
##################
"""
"""25×18: 119 river cells, 56 of them waste at the start; 103 apple cells without apples; 10 start cells.

The map of the reference code.
"""

HARVEST = """
######################################
#.A...A......o....A.ooooo....A..o.A..#
#..A.....o.A.oo....A....ooo....o..o..#
#.....o.ooo..ooo....o....o.oo.oooo...#
#.o..ooo.o....o..o.ooo..o..o...o.o...#
#ooo..o.o....o..ooo.o..ooo........o.A#
#.o.o..ooo..ooo..o.o....o.oo...oo.oo.#
#..o.o..ooo....o.o..ooo....ooo..o....#
#...ooo..o......ooo..o....oooo.......#
#.A..o.......o..o.ooo....o..o......A.#
#o..ooo..o..o..ooo.o....oooo.....A...#
#....o.o...ooo..o.o......o.oo...o..A.#
#.....ooo...o.o..ooo......oo...ooo.A.#
#.o....o.....ooo..o..A..........o....#
#.......A.....o.........A..A.A.....A.#
######################################
"""
"""16×38: 155 apple cells, all with apples; 20 start cells. The map of the reference code."""

CLEANUP_SMALL = """
#############
#~~~~....,,,#
#wwww..A.,,,#
#~~~~....,,,#
#wwww=A==,,,#
#~~~~..A.,,,#
#wwww....,,,#
#~~w~.A..,,,#
#wwww....,,,#
#############
"""
"""10×13, our own: 32 river cells, 17 of them waste (more than 0.4, as in the published map), 24 apple cells."""

HARVEST_SMALL = """
##############
#A..o....o..A#
#..ooo..ooo..#
#...o....o...#
#......o.....#
#.....ooo....#
#..o...o..o..#
#.ooo....ooo.#
#A.o......o.A#
##############
"""
"""10×14, our own: five clumps of five apples, so that agents can use up one while the others remain."""

BOX_TRAPPED = """
###########
#.....+++.#
#.oo..+1+.#
#.oo..+++.#
#....0....#
#.........#
###########
"""
"""7×11, our own: agent 1 is boxed in; agent 0 starts next to the box, with four apples in reach."""
