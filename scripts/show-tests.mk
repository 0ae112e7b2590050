# For scripts/check: names what `make check` runs.
show-tests:
	@echo $(TESTS)
