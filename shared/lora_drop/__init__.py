"""Drop a dataset ZIP into an S3 bucket; get a trained portrait LoRA in another."""
