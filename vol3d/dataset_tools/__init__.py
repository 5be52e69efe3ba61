"""What data sets of every kind share: faults, work over all cases in parallel, prepared folders, tables."""
