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
    : own_(std::move(own)), guards_(std::move(guards)), runs_(executorsCount), executors_(executorsCount) {
  own_->activity.running.store(0, kRelaxed);
  own_->activity.executors.store(static_cast<std::uint32_t>(executorsCount), kRelaxed);
  own_->activity.lastEndNs.store(0, kRelaxed);  // the clock may have begun anew since
}

bool RunGate::MayBegin(std::size_t executor, std::size_t width, Wanted wanted, std::int64_t nowNs) {
  const LaneAllowance allowance = AllowanceOf(own_->control, guards_, runs_.size(), nowNs);
  halvings_ = allowance.halvings;
  executors_ = allowance.executors;
  floor_.Earn(nowNs, executors_ == 0 ? allowance.floorShare * static_cast<double>(runs_.size()) : 0);
  if (allowance.isHeldOff) return false;
  if (executors_ == 0) return executor == 0 && wanted == Wanted::kRows && floor_.IsDue();
  if (executor + width <= executors_) return true;
  if (executor >= executors_ || wanted == Wanted::kMeasurement) return false;
  partly_.Earn(nowNs, static_cast<double>(executors_ - executor));
  return partly_.IsDue();
}

void RunGate::Began(std::size_t executor, std::size_t width) {
  FloorCredit* paidBy = nullptr;
  if (executors_ == 0) paidBy = &floor_;
  if (executors_ != 0 && executor + width > executors_) paidBy = &partly_;
  runs_[executor] = {.width = width, .paidBy = paidBy, .startedCpuNs = paidBy == nullptr ? 0 : ThreadCpuNs()};
  own_->activity.runs.fetch_add(1, kRelaxed);
  if (paidBy == &floor_) own_->activity.floorRuns.fetch_add(1, kRelaxed);
  own_->activity.running.fetch_add(static_cast<std::uint32_t>(width), kRelaxed);
}

void RunGate::Ended(std::size_t executor, std::int64_t nowNs) {
  Run& run = runs_[executor];
  if (run.width == 0) return;
  const auto width = static_cast<std::int64_t>(run.width);
  if (run.paidBy != nullptr) run.paidBy->Spend((ThreadCpuNs() - run.startedCpuNs) * width);
  run = {};
  own_->activity.lastEndNs.store(nowNs, kRelaxed);
  own_->activity.running.fetch_sub(static_cast<std::uint32_t>(width), std::memory_order_release);  // with Neighbours
}

}  // namespace interleave
