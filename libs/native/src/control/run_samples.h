// What runs have cost, from the executors to the guard. Bounded: the oldest are lost.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace interleave {

struct RunSample {
  std::uint16_t model = 0;  // its slot
  std::uint8_t table = 0;  // generation of the model's cost table
  bool isQuiet = false;    // no batch run was under way at any time of it
  float ofTable = 0;       // CPU time divided by what the cost table says
};

// Many writers, one reader; no lock. A sample that is overwritten while it is read is seen once or not at all.
class RunSamples {
 public:
  void Put(const RunSample& sample) {
    const std::uint64_t packed = std::uint64_t{std::bit_cast<std::uint32_t>(sample.ofTable)} |
                                 std::uint64_t{sample.model} << 32 | std::uint64_t{sample.isQuiet} << 48 |
                                 std::uint64_t{sample.table} << 49 | kIsSet;
    cells_[next_.fetch_add(1, std::memory_order_relaxed) % kCells].store(packed, std::memory_order_relaxed);
  }

  template <class Use>
  void TakeAll(Use use) {
    for (std::atomic<std::uint64_t>& cell : cells_) {
      if (cell.load(std::memory_order_relaxed) == 0) continue;
      const std::uint64_t packed = cell.exchange(0, std::memory_order_relaxed);
      use(RunSample{.model = static_cast<std::uint16_t>(packed >> 32),
                    .table = static_cast<std::uint8_t>(packed >> 49),
                    .isQuiet = (packed >> 48 & 1) != 0,
                    .ofTable = std::bit_cast<float>(static_cast<std::uint32_t>(packed))});
    }
  }

 private:
  // Room for the samples of 20 ms.
  static constexpr std::size_t kCells = 128;
  static constexpr std::uint64_t kIsSet = std::uint64_t{1} << 63;
  std::atomic<std::uint64_t> next_{0};
  std::array<std::atomic<std::uint64_t>, kCells> cells_{};
};

}  // namespace interleave
