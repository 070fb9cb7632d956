"""Sequential base models, SASRec and BERT4Rec: a user vector is read from the order of a history."""
