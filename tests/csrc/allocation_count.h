#pragma once

namespace smidgen::test {

/// How often the program has asked for memory: by operator new, by the functions of malloc's family
/// or by mmap.
long allocation_count();

}  // namespace smidgen::test
