"""What the core itself offers: models, data sets, plain training and mask statistics."""
