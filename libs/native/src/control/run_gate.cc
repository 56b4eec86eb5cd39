#include "control/run_gate.h"

#include "clock.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace interleave {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// Halvings of 100 ms; more only cost throughput.
constexpr std::uint32_t kHalvingsMax = 6;

}  // namespace

LaneAllowance AllowanceOf(const ControlPage::Control& control, const std::vector<MappedControlPage>& guards,
                          std::size_t executorsCount, std::int64_t nowNs) {
  LaneAllowance allowance{.executors = executorsCount};
  for (const MappedControlPage& guard : guards) {
    if (guard->guard.untilNs.load(kRelaxed) <= nowNs) continue;
    const std::size_t withdrawn = std::min<std::size_t>(guard->guard.withdrawn.load(kRelaxed), executorsCount - 1);
    allowance.executors = std::min(allowance.executors, executorsCount - withdrawn);
  }
  if (control.untilNs.load(kRelaxed) <= nowNs) return allowance;
  const std::size_t withheld = std::min<std::size_t>(control.withheld.load(kRelaxed), executorsCount);
  allowance.executors = std::min(allowance.executors, executorsCount - withheld);
  allowance.isHeldOff = control.heldOffSinceNs.load(kRelaxed) != 0;
  allowance.halvings = std::min(control.halvings.load(kRelaxed), kHalvingsMax);
  allowance.floorShare = static_cast<double>(std::min(control.floorPermille.load(kRelaxed), 1000U)) / 1000;
  return allowance;
}

void FloorCredit::Earn(std::int64_t nowNs, double rate) {
  if (atNs_ != 0) creditNs_ = std::min(kDueNs, creditNs_ + rate * static_cast<double>(nowNs - atNs_));
  atNs_ = nowNs;
}

RunGate::RunGate(MappedControlPage own, std::vector<MappedControlPage> guards, std::size_t executorsCount)
    : own_(std::move(own)), guards_(std::move(guards)), runs_(executorsCount) {
  own_->activity.running.store(0, kRelaxed);
  own_->activity.executors.store(static_cast<std::uint32_t>(executorsCount), kRelaxed);
  own_->activity.lastEndNs.store(0, kRelaxed);  // the clock may have begun anew since
}

bool RunGate::MayBegin(std::size_t executor, Wanted wanted, std::int64_t nowNs) {
  const LaneAllowance allowance = AllowanceOf(own_->control, guards_, runs_.size(), nowNs);
  halvings_ = allowance.halvings;
  isFloor_ = allowance.executors == 0;
  floor_.Earn(nowNs, isFloor_ ? allowance.floorShare * static_cast<double>(runs_.size()) : 0);
  if (allowance.isHeldOff) return false;
  if (!isFloor_) return executor < allowance.executors;
  return executor == 0 && wanted == Wanted::kRows && floor_.IsDue();
}

void RunGate::Began(std::size_t executor) {
  runs_[executor] = {.isUnderWay = true, .floorCpuNs = isFloor_ ? ThreadCpuNs() : 0};
  own_->activity.runs.fetch_add(1, kRelaxed);
  if (isFloor_) own_->activity.floorRuns.fetch_add(1, kRelaxed);
  own_->activity.running.fetch_add(1, kRelaxed);
}

void RunGate::Ended(std::size_t executor, std::int64_t nowNs) {
  Run& run = runs_[executor];
  if (!run.isUnderWay) return;
  if (run.floorCpuNs != 0) floor_.Spend(ThreadCpuNs() - run.floorCpuNs);
  run = {};
  own_->activity.lastEndNs.store(nowNs, kRelaxed);
  own_->activity.running.fetch_sub(1, std::memory_order_release);  // pairs with Neighbours
}

}  // namespace interleave
