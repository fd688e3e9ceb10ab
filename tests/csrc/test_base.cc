#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "base/finite.h"
#include "base/isa.h"
#include "base/memory_region.h"
#include "base/partition.h"
#include "base/shape.h"
#include "base/subnormals.h"
#include "base/thread_pool.h"
#include "check.h"

namespace smidgen {
namespace {

TEST(portable_is_always_available) {
  CHECK(cpu_has(Isa::kPortable));
  CHECK_EQUAL(available_isas().front(), Isa::kPortable);
}

TEST(choosing_takes_the_request_then_the_cap_then_the_best) {
  CHECK_EQUAL(choose_isa("portable", std::nullopt), Isa::kPortable);
  CHECK_EQUAL(choose_isa(std::nullopt, "portable"), Isa::kPortable);
  CHECK_EQUAL(choose_isa(std::nullopt, ""), available_isas().back());
  CHECK_EQUAL(choose_isa(std::nullopt, std::nullopt), available_isas().back());
}

TEST(unknown_and_missing_levels_are_refused_by_name) {
  const auto reason_of = [](std::string_view name) -> std::string {
    try {
      static_cast<void>(choose_isa(name, std::nullopt));
    } catch (const EngineError& error) {
      CHECK(std::string(error.what()).find(name) != std::string::npos);
      return error.reason();
    }
    return "none";
  };
  CHECK_EQUAL(reason_of("sse9"), "ISA_UNKNOWN");
  for (const Isa isa : kIsas) {
    CHECK_EQUAL(reason_of(name_of(isa)), cpu_has(isa) ? "none" : "ISA_UNAVAILABLE");
  }
}

TEST(a_kernel_serves_levels_from_its_own_upwards) {
  CHECK(serves(Isa::kPortable, Isa::kAvx512Vnni));
  CHECK(!serves(Isa::kAvx512Vnni, Isa::kAvx2));
  CHECK(!serves(Isa::kAmx, Isa::kAvx512Vnni));
  CHECK_EQUAL(serves(Isa::kAvx512Vnni, Isa::kAmx), cpu_has(Isa::kAvx512Vnni));
  CHECK_EQUAL(serves(Isa::kAvxVnni, Isa::kAvx512Vnni), cpu_has(Isa::kAvxVnni));
}

TEST(buffers_are_aligned_zeroed_and_have_slack) {
  for (const Index bytes : {0, 1, 63, 64, 65, 1000}) {
    const AlignedBuffer buffer(bytes);
    CHECK_EQUAL(buffer.size(), bytes);
    CHECK_EQUAL(reinterpret_cast<std::uintptr_t>(buffer.data()) % kAlignment, 0U);
    for (Index i = 0; i < bytes + kSlack; ++i) CHECK(buffer.data()[i] == std::byte{0});
  }
}

TEST(a_region_serves_the_buffers_of_its_scope_until_it_is_full) {
  MemoryRegion region(1000);
  std::vector<AlignedBuffer> buffers;
  {
    const MemoryRegion::Scope scope(region);
    for (int i = 0; i < 20; ++i) buffers.emplace_back(100);
  }
  CHECK(MemoryRegion::current() == nullptr);
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    CHECK_EQUAL(reinterpret_cast<std::uintptr_t>(buffers[i].data()) % kAlignment, 0U);
    for (Index byte = 0; byte < 100 + kSlack; ++byte) {
      CHECK(buffers[i].data()[byte] == std::byte{0});
    }
    std::memset(buffers[i].data(), static_cast<int>(i) + 1, 100);
  }
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    CHECK_EQUAL(static_cast<std::size_t>(buffers[i].data()[99]), i + 1);
  }
  const AlignedBuffer outside(100);
  const Index handed_out = region.wanted_bytes();
  CHECK(region.take(1000) == nullptr);
  CHECK_EQUAL(region.wanted_bytes(), handed_out + 1024);
}

TEST(a_region_may_hand_out_memory_of_its_callers) {
  alignas(kAlignment) std::array<std::byte, 512> memory{};
  MemoryRegion region(memory);
  const MemoryRegion::Scope scope(region);
  const AlignedBuffer buffer(100);
  CHECK(buffer.data() == memory.data());
  const AlignedBuffer second(100);
  CHECK(second.data() == memory.data() + 256);
  CHECK(region.take(1) == nullptr);
}

TEST(scopes_of_regions_nest) {
  MemoryRegion outer(100);
  MemoryRegion inner(100);
  const MemoryRegion::Scope scope(outer);
  {
    const MemoryRegion::Scope nested(inner);
    CHECK(MemoryRegion::current() == &inner);
  }
  CHECK(MemoryRegion::current() == &outer);
}

TEST(large_buffers_are_zeroed_too) {
  const AlignedBuffer buffer(3 * kHugePage + 1);
  for (Index i = 0; i < buffer.size() + kSlack; i += 97) CHECK(buffer.data()[i] == std::byte{0});
}

TEST(subnormals_are_zero_only_where_that_is_wanted) {
  volatile float tiny = 1e-42F;
  const auto is_zero = [&] { return tiny * 1.0F == 0.0F; };
  CHECK(!is_zero());
  {
    const FlushSubnormals unwanted(false);
    CHECK(!is_zero());
  }
  {
    const FlushSubnormals wanted(true);
    if (SMIDGEN_X86) CHECK(is_zero());
  }
  CHECK(!is_zero());
}

TEST(the_first_value_that_is_not_finite_is_found_wherever_it_is) {
  using Limits = std::numeric_limits<float>;
  for (const std::size_t size : {0, 1, 7, 4095, 4096, 4097, 9000}) {
    std::vector<float> values(size, -Limits::max());
    CHECK_EQUAL(first_not_finite(values), size);
    for (const float wrong : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}) {
      for (std::size_t index = 0; index < size; index += 1 + size / 9) {
        std::vector<float> changed = values;
        changed[index] = wrong;
        changed.back() = wrong;
        CHECK_EQUAL(first_not_finite(changed), index);
      }
    }
  }
}

TEST(shapes_count_their_elements_and_refuse_absurd_ones) {
  CHECK_EQUAL((Shape{2, 3, 4}.element_count()), 24);
  CHECK_EQUAL((Shape{2, 3}.to_string()), "[2, 3]");
  CHECK(test::throws<TensorError>([] { static_cast<void>(Shape{0, 3}.element_count()); }));
  CHECK(test::throws<TensorError>(
      [] { static_cast<void>(Shape{1 << 30, 1 << 30, 1 << 30}.element_count()); }));
  CHECK(test::throws<ProgramError>([] { static_cast<void>(Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}); }));
}

TEST(partitions_cover_everything_once) {
  for (const Index total : {0, 1, 5, 64, 65, 1000}) {
    for (const Index grain : {1, 6, 64}) {
      for (const int count : {1, 2, 3, 7}) {
        Index expected_begin = 0;
        for (int index = 0; index < count; ++index) {
          const Range range = partition(total, grain, index, count);
          CHECK_EQUAL(range.begin, expected_begin);
          CHECK(range.end >= range.begin);
          CHECK(range.end == total || range.end % grain == 0);
          expected_begin = range.end;
        }
        CHECK_EQUAL(expected_begin, total);
      }
    }
  }
}

TEST(every_part_of_each_task_runs_once) {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    CHECK_EQUAL(pool.size(), threads);
    for (const int parts : {1, 2, 7, 200}) {
      std::vector<int> counts(static_cast<std::size_t>(parts), 0);
      std::atomic<int> strangers = 0;
      for (int request = 0; request < 50; ++request) {
        pool.begin();
        for (int task = 0; task < 20; ++task) {
          pool.run(parts, [&](int part, int thread) {
            ++counts[static_cast<std::size_t>(part)];
            if (thread < 0 || thread >= threads) ++strangers;
          });
        }
        pool.end();
      }
      for (const int count : counts) CHECK_EQUAL(count, 1000);
      CHECK_EQUAL(strangers.load(), 0);
    }
  }
}

TEST(each_thread_of_a_pool_runs_one_part_at_a_time) {
  ThreadPool pool(3);
  std::array<std::atomic<int>, 3> running{};
  std::atomic<int> clashes = 0;
  pool.begin();
  for (int task = 0; task < 500; ++task) {
    pool.run(12, [&](int, int thread) {
      std::atomic<int>& own = running[static_cast<std::size_t>(thread)];
      if (own.fetch_add(1) != 0) ++clashes;
      own.fetch_sub(1);
    });
  }
  pool.end();
  CHECK_EQUAL(clashes.load(), 0);
}

TEST(others_take_over_the_parts_of_a_thread_that_is_held_up) {
  ThreadPool pool(2);
  std::atomic<int> done = 0;
  // Who runs the first part goes on when all others have run, of which three would be its own.
  pool.run(8, [&](int part, int) {
    while (part == 0 && done.load() < 7) std::this_thread::yield();
    ++done;
  });
  CHECK_EQUAL(done.load(), 8);
}

TEST(a_pool_sees_what_earlier_tasks_wrote) {
  ThreadPool pool(3);
  std::vector<int> values(3, 0);
  pool.begin();
  for (int round = 1; round <= 200; ++round) {
    pool.run(3, [&](int part, int) { values[static_cast<std::size_t>(part)] = round; });
    std::atomic<int> mismatches = 0;
    pool.run(3, [&](int part, int) {
      if (values[static_cast<std::size_t>((part + 1) % 3)] != round) ++mismatches;
    });
    CHECK_EQUAL(mismatches.load(), 0);
  }
  pool.end();
}

}  // namespace
}  // namespace smidgen
