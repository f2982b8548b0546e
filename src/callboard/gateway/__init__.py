"""HTTP into running Actors: the web servers of runs, and Actors in Standby mode."""
