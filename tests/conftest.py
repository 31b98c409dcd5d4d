"""That this file is here puts its folder on the path: helpers beside it serve all tests."""
