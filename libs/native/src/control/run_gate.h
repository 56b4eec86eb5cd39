// Which executors of a batch worker may begin a run, and how long it may be. Nothing that runs is interrupted: the gate
// is asked whenever an executor is about to take its next run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "control/control_page.h"

namespace interleave {

// What the pages allow a batch worker at one time.
struct LaneAllowance {
  bool isHeldOff = false;
  // Executors 0 to executors - 1 may begin runs: CPUs are left in order, so that one of them has peace.
  std::size_t executors = 0;
  std::uint32_t halvings = 0;
  double floorShare = 0;
};

// `guards` are pages of the live workers beside the batch worker, which leave it one executor.
LaneAllowance AllowanceOf(const ControlPage::Control& control, const std::vector<MappedControlPage>& guards,
                          std::size_t executorsCount, std::int64_t nowNs);

// Lets a share of executor time through as whole runs, each of which is paid for afterwards.
class FloorCredit {
 public:
  // `rate`: nanoseconds earned in a nanosecond.
  void Earn(std::int64_t nowNs, double rate);
  void Spend(std::int64_t ns) { creditNs_ -= static_cast<double>(ns); }
  bool IsDue() const { return creditNs_ >= kDueNs; }

 private:
  // Earned before a run begins, so that closing the gate has an effect first.
  static constexpr double kDueNs = 20e6;
  double creditNs_ = 0;
  std::int64_t atNs_ = 0;  // 0: nothing was earned yet
};

// Owned by the queue's worker; every call is made with the queue locked, those that name an executor on its thread.
class RunGate {
 public:
  // Resets what an earlier process left of the worker's own part of `own`.
  RunGate(MappedControlPage own, std::vector<MappedControlPage> guards, std::size_t executorsCount);

  // A measurement may cost seconds, for which the floor would be in debt for minutes: it waits.
  enum class Wanted { kRows, kMeasurement };
  // A run on the CPUs of `width` executors from this one on. Where only some of those may begin runs, it may for their
  // share of the time.
  bool MayBegin(std::size_t executor, std::size_t width, Wanted wanted, std::int64_t nowNs);
  // After MayBegin allowed it.
  void Began(std::size_t executor, std::size_t width);
  // Without effect for an executor that runs nothing.
  void Ended(std::size_t executor, std::int64_t nowNs);
  std::uint32_t halvings() const { return halvings_; }

 private:
  struct Run {
    std::size_t width = 0;          // 0: none is under way
    FloorCredit* paidBy = nullptr;  // null: it needs none
    std::int64_t startedCpuNs = 0;  // CPU time of the thread
  };

  const MappedControlPage own_;
  const std::vector<MappedControlPage> guards_;
  std::vector<Run> runs_;  // by executor
  FloorCredit floor_;
  FloorCredit partly_;         // of the team of which some executors only may begin runs
  std::size_t executors_ = 0;  // allowed at the last MayBegin
  std::uint32_t halvings_ = 0;
};

}  // namespace interleave
