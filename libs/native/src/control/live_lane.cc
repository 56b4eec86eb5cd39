#include "control/live_lane.h"

#include <utility>

namespace interleave {
namespace {

// Many ticks: a guard that is only late still holds.
constexpr std::int64_t kGuardHoldsNs = 1'000'000'000;
constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

LiveLane::LiveLane(MappedControlPage own, std::vector<MappedControlPage> batchPages, std::size_t slotsCount)
    : own_(std::move(own)), neighbours_(std::move(batchPages)), guard_(slotsCount) {
  own_->guard.untilNs.store(0, kRelaxed);
  own_->guard.withdrawn.store(0, kRelaxed);
  own_->guard.withdrawals.store(0, kRelaxed);
}

void LiveLane::CountRun(std::size_t slot, std::int64_t startedNs, double ofTable, std::uint8_t table) {
  if (neighbours_.IsEmpty()) return;
  samples_.Put({.model = static_cast<std::uint16_t>(slot),
                .table = table,
                .isQuiet = !neighbours_.HasRunSince(startedNs),
                .ofTable = static_cast<float>(ofTable)});
}

void LiveLane::OnTick(std::int64_t nowNs) {
  if (neighbours_.IsEmpty()) return;
  samples_.TakeAll([this](const RunSample& sample) { guard_.OnRun(sample); });
  guard_.OnTick(nowNs, neighbours_.ExecutorsMax());
  ControlPage::Guard& page = own_->guard;
  page.withdrawn.store(guard_.withdrawn(), kRelaxed);
  page.withdrawals.store(guard_.withdrawals(), kRelaxed);
  page.limit.store(guard_.Limit(), kRelaxed);
  page.latest.store(guard_.Latest(), kRelaxed);
  page.untilNs.store(nowNs + kGuardHoldsNs, kRelaxed);
}

}  // namespace interleave
