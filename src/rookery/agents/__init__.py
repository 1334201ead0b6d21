"""Who acts: networks, recurrent policies, scripted ones, teams, and the zoo of trained agents."""
