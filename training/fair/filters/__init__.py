"""AL, CAL, FairGo and FMMRec: filters over the vectors of a frozen base, against discriminators."""
