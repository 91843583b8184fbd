"""Jobs x checkpoint: what there is to do, what it costs, and every row that cannot be done."""
