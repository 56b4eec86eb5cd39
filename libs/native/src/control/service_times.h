// How long live items took from enqueue to answer, counted in buckets of 3 % at most.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "control/neighbours.h"

namespace interleave {

// Whole microseconds up to 31; above, 32 buckets to each power of two, up to 67 s.
inline constexpr std::size_t kServiceBuckets = 736;
inline constexpr std::size_t kBucketsPerOctave = 32;

constexpr std::size_t ServiceBucketOf(std::int64_t ns) {
  const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(0, ns)) / 1000;
  if (us < kBucketsPerOctave) return us;
  const int shift = std::bit_width(us) - 6;
  const std::size_t bucket =
      kBucketsPerOctave * static_cast<std::size_t>(shift + 1) + (us >> shift) - kBucketsPerOctave;
  return std::min(bucket, kServiceBuckets - 1);
}

class ServiceTimes {
 public:
  using Counts = std::array<std::atomic<std::uint64_t>, kServiceBuckets>;

  void Count(Company company, std::int64_t ns) {
    counts_[static_cast<std::size_t>(company)][ServiceBucketOf(ns)].fetch_add(1, std::memory_order_relaxed);
  }
  const Counts& counts(Company company) const { return counts_[static_cast<std::size_t>(company)]; }

 private:
  std::array<Counts, 3> counts_{};
};

}  // namespace interleave
