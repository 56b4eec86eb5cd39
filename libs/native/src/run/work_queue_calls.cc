// Which executor is called for what waits, what each may begin, and how it waits.
#include "run/work_queue.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "clock.h"

namespace interleave {
namespace {

// How late an executor notices that it may take runs again: no other process can wake it. A waiting executor looks this
// often only while there is work.
constexpr auto kGatePoll = std::chrono::milliseconds(10);

}  // namespace

// Precondition: mutex_ is held.
WorkQueue::Waiter* WorkQueue::Call(std::vector<std::size_t>::iterator waiting) {
  Waiter& waiter = waiters_[*waiting];
  waiting_.erase(waiting);
  waiter.isCalled = true;
  return &waiter;
}

// Precondition: mutex_ is held. Picks the executor on the caller's CPU, which the caller is about to leave: waking it
// there took 9 us, on the other CPU of a virtual machine 43 us. Else the one that began to wait last: its caches still
// hold the model. Of leaders one whose team is free, where there is one. Null when none waits that leads such runs.
WorkQueue::Waiter* WorkQueue::CallWaiter(std::size_t width) {
  const int cpu = sched_getcpu();
  auto chosen = waiting_.end();
  int chosenRank = -1;
  for (auto waiting = waiting_.begin(); waiting != waiting_.end(); ++waiting) {
    if (!teams_.Leads(*waiting, width) || !teams_.IsFree(*waiting)) continue;
    const int rank = (teams_.IsFreeFor(*waiting, width) ? 2 : 0) + (options_.cpus[*waiting] == cpu ? 1 : 0);
    if (rank < chosenRank) continue;
    chosen = waiting;
    chosenRank = rank;
  }
  return chosen == waiting_.end() ? nullptr : Call(chosen);
}

// Precondition: mutex_ is held. The express executor only where no other one waits: two would share a CPU. It has no
// team.
WorkQueue::Waiter* WorkQueue::CallFor(const QueueEntry& entry, std::size_t width) {
  Waiter* called = CallWaiter(width);
  return called == nullptr && entry.ahead && width == 1 ? &waiters_[options_.cpus.size()] : called;
}

// Precondition: mutex_ is held.
void WorkQueue::CallMembers(std::size_t first, std::size_t count) {
  for (std::size_t executor = first; executor < first + count; ++executor) {
    const auto waiting = std::ranges::find(waiting_, executor);
    if (waiting != waiting_.end() && IsAble(executor)) Call(waiting)->wake.notify_one();
  }
}

// Precondition: mutex_ is held. Picks the one that began to wait last, as CallWaiter does.
void WorkQueue::PassCallOn() {
  const auto able = std::find_if(waiting_.rbegin(), waiting_.rend(), [this](std::size_t each) { return IsAble(each); });
  if (able != waiting_.rend()) Call(std::prev(able.base()))->wake.notify_one();
}

// Precondition: mutex_ is held. Wakes leaders of whose claims nothing waits any more: they may do something else.
void WorkQueue::WakeIdleClaims() {
  for (std::size_t executor = 0; executor < options_.cpus.size(); ++executor) {
    if (teams_.ClaimOf(executor) != 0 && !IsClaimWanted(executor)) waiters_[executor].wake.notify_one();
  }
}

// Precondition: mutex_ is held.
WorkQueue::Widths WorkQueue::LedBy(std::size_t executor) const {
  Widths led;
  if (items_.empty()) {
    const std::size_t width = probes_.empty() ? 0 : WidthOf(*probes_.front().model);
    if (width != 0 && teams_.Leads(executor, width)) led.set(width);
    return led;
  }
  for (std::size_t width = 1; width < waitingItems_.size(); ++width) {
    if (waitingItems_[width] != 0 && teams_.Leads(executor, width)) led.set(width);
  }
  return led;
}

// Precondition: mutex_ is held.
WorkQueue::Widths WorkQueue::Allowed(std::size_t executor, const Widths& led) const {
  if (options_.gate == nullptr || isClosed_) return led;
  Widths allowed;
  const auto wanted = items_.empty() ? RunGate::Wanted::kMeasurement : RunGate::Wanted::kRows;
  const std::int64_t nowNs = MonotonicNowNs();
  for (std::size_t width = 1; width < led.size(); ++width) {
    if (led[width]) allowed[width] = options_.gate->MayBegin(executor, width, wanted, nowNs);
  }
  return allowed;
}

// Precondition: mutex_ is held.
bool WorkQueue::TryBegin(std::size_t executor, std::size_t width) {
  if (!teams_.IsFreeFor(executor, width)) {
    teams_.Claim(executor, width);
    return false;
  }
  if (teams_.ClaimOf(executor) != width) DropClaim(executor);
  teams_.Begin(executor, width);
  if (options_.gate != nullptr) options_.gate->Began(executor, width);
  return true;
}

// Precondition: mutex_ is held.
void WorkQueue::EndRun(std::size_t executor) {
  predictedEndNs_[executor] = 0;
  if (options_.gate != nullptr) options_.gate->Ended(executor, MonotonicNowNs());
  if (IsExpress(executor)) return;
  const std::size_t width = teams_.End(executor);
  if (width > 1) CallMembers(executor + 1, width - 1);
  for (const std::size_t leader : teams_.Satisfied()) waiters_[leader].wake.notify_one();
}

// Precondition: mutex_ is held.
void WorkQueue::DropClaim(std::size_t executor) {
  const std::size_t width = teams_.Drop(executor);
  if (width == 0) return;
  CallMembers(executor + 1, width - 1);
  for (const std::size_t leader : teams_.Satisfied()) waiters_[leader].wake.notify_one();
}

// Precondition: mutex_ is held. Something that the express executor may take.
bool WorkQueue::HasAhead() const {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].ahead && WidthOf(*items_[i].model) == 1) return true;
  }
  return false;
}

// Precondition: `lock` holds mutex_. Returns the widths of runs that the executor may begin; none where the queue is
// closed.
WorkQueue::Widths WorkQueue::WaitForWork(std::unique_lock<std::mutex>& lock, std::size_t executor) {
  if (IsExpress(executor)) {
    waiters_[executor].wake.wait(lock, [this] { return isClosed_ || HasAhead(); });
    return Widths(waitingItems_[1] == 0 ? 0 : 2);
  }
  while (true) {
    const std::size_t claimed = teams_.ClaimOf(executor);
    if (claimed != 0) {
      waiters_[executor].wake.wait(lock,
                                   [&] { return teams_.IsFreeFor(executor, claimed) || !IsClaimWanted(executor); });
    }
    const Widths led = LedBy(executor);
    const bool isAble = led.any() && teams_.IsFree(executor);
    const Widths allowed = isAble ? Allowed(executor, led) : Widths();
    if (claimed != 0 && !allowed[claimed]) DropClaim(executor);
    if (allowed.any() || isClosed_) return allowed;
    if (isAble) {
      WaitForGate(lock, executor);
    } else {
      Sleep(lock, executor);
    }
  }
}

// Precondition: `lock` holds mutex_. Whoever called it for what it cannot do meant somebody.
void WorkQueue::Sleep(std::unique_lock<std::mutex>& lock, std::size_t executor) {
  Waiter& waiter = waiters_[executor];
  if (std::exchange(waiter.isCalled, false)) PassCallOn();
  waiting_.push_back(executor);
  waiter.wake.wait(lock, [&] { return waiter.isCalled || isClosed_; });
  std::erase(waiting_, executor);  // still there when nobody but Close called
}

// Precondition: `lock` holds mutex_ and there is work. Calls another executor for it, which may have what this one has
// not.
void WorkQueue::WaitForGate(std::unique_lock<std::mutex>& lock, std::size_t executor) {
  PassCallOn();
  waiters_[executor].wake.wait_for(lock, kGatePoll, [this] { return isClosed_; });
}

}  // namespace interleave
