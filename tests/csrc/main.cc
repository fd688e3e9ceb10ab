#include "check.h"

int main() { return smidgen::test::run_all(); }
