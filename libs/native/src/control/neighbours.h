// What a live worker sees of the batch workers beside it. Any thread; no lock, no system call.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "control/control_page.h"

namespace interleave {

// How a stretch of time was spent beside the batch lane. kAlone: held off for all of it, and no run was left over.
// kOther: the batch lane had nothing to run, or the stretch only lies partly in a time in which it was held off.
enum class Company : std::uint8_t { kShared, kAlone, kOther };

class Neighbours {
 public:
  explicit Neighbours(std::vector<MappedControlPage> batchPages) : pages_(std::move(batchPages)) {}

  bool IsEmpty() const { return pages_.empty(); }

  // A batch run was under way at some time since `fromNs`.
  bool HasRunSince(std::int64_t fromNs) const {
    return std::any_of(pages_.begin(), pages_.end(), [=](const MappedControlPage& page) {
      return page->activity.running.load(std::memory_order_acquire) != 0 ||  // pairs with RunGate::Ended
             page->activity.lastEndNs.load(std::memory_order_relaxed) > fromNs;
    });
  }

  // Company in the time from `fromNs` to `nowNs`.
  Company CompanySince(std::int64_t fromNs, std::int64_t nowNs) const {
    if (IsEmpty()) return Company::kOther;
    const bool hasRun = HasRunSince(fromNs);
    const bool isHeldOff = std::any_of(
        pages_.begin(), pages_.end(), [=](const MappedControlPage& page) { return HeldOffSinceNs(*page, nowNs) != 0; });
    if (!isHeldOff) return hasRun ? Company::kShared : Company::kOther;
    const bool wasHeldOff = std::all_of(pages_.begin(), pages_.end(), [=](const MappedControlPage& page) {
      const std::int64_t sinceNs = HeldOffSinceNs(*page, nowNs);
      return sinceNs != 0 && sinceNs <= fromNs;
    });
    return wasHeldOff && !hasRun ? Company::kAlone : Company::kOther;
  }

  // Executors of the batch worker with the most.
  std::uint32_t ExecutorsMax() const {
    std::uint32_t executors = 0;
    for (const MappedControlPage& page : pages_) {
      executors = std::max(executors, page->activity.executors.load(std::memory_order_relaxed));
    }
    return executors;
  }

 private:
  static std::int64_t HeldOffSinceNs(const ControlPage& page, std::int64_t nowNs) {
    if (page.control.untilNs.load(std::memory_order_relaxed) <= nowNs) return 0;
    return page.control.heldOffSinceNs.load(std::memory_order_relaxed);
  }

  const std::vector<MappedControlPage> pages_;
};

}  // namespace interleave
