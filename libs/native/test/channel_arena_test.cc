#include <gtest/gtest.h>

#include <map>
#include <random>

#include "channel/arena.h"
#include "channel/layout.h"
#include "channel_harness.h"

namespace interleave {
namespace {

// Blocks never overlap, never leave the arena, and after everything is freed the arena is one block again.
TEST(Arena, RandomAllocationsNeverOverlap) {
  std::mt19937_64 random(TestSeed());
  for (int run = 0; run < 20; ++run) {
    const std::uint64_t total = Arena::kAlignment * (1 + random() % 4096);
    Arena arena(total);
    std::map<std::uint64_t, std::uint64_t> blocks;  // offset -> bytes
    std::uint64_t used = 0;
    for (int step = 0; step < 3000; ++step) {
      if (random() % 2 == 0 && !blocks.empty()) {
        const auto victim = std::next(blocks.begin(), static_cast<long>(random() % blocks.size()));
        arena.Free(victim->first, victim->second);
        used -= AlignUp(victim->second, Arena::kAlignment);
        blocks.erase(victim);
      } else {
        const std::uint64_t bytes = 1 + random() % (1 + total / (1 + random() % 32));
        const bool fits = arena.largestFreeBytes() >= bytes;
        const auto offset = arena.Allocate(bytes);
        ASSERT_EQ(offset.has_value(), fits);
        if (!offset) continue;
        ASSERT_EQ(*offset % Arena::kAlignment, 0u);
        ASSERT_LE(*offset + bytes, total);
        const auto next = blocks.lower_bound(*offset);
        ASSERT_TRUE(next == blocks.end() || *offset + bytes <= next->first);
        ASSERT_TRUE(next == blocks.begin() || std::prev(next)->first + std::prev(next)->second <= *offset);
        blocks.emplace(*offset, bytes);
        used += AlignUp(bytes, Arena::kAlignment);
      }
      ASSERT_EQ(arena.freeBytes(), total - used);
    }
    for (const auto& [offset, bytes] : blocks) arena.Free(offset, bytes);
    EXPECT_EQ(arena.largestFreeBytes(), total);
  }
}

TEST(Arena, RefusesOnlyWhatDoesNotFit) {
  Arena arena(256);
  EXPECT_FALSE(arena.Allocate(257).has_value());
  const auto first = arena.Allocate(100);
  const auto second = arena.Allocate(128);
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(arena.Allocate(1).has_value());
  arena.Free(*first, 100);
  EXPECT_FALSE(arena.Allocate(129).has_value());
  EXPECT_TRUE(arena.Allocate(128).has_value());
}

}  // namespace
}  // namespace interleave
