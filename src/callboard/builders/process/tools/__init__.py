"""Programs that stand in, during build steps, for ones of the usual images. Copied beside a build, never imported."""
