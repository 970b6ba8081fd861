"""Data sets, one file each: layout, classes, sites, licence and citation."""
