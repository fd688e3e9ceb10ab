#pragma once

namespace smidgen::test {

/// How often the program has called operator new.
long allocation_count();

}  // namespace smidgen::test
