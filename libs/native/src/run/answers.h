#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "clock.h"
#include "control/live_lane.h"
#include "run/served_model.h"
#include "run/work_queue.h"

namespace interleave {

// Answers items that were taken out of the queue, each exactly once, and keeps the books. Any thread, without a lock.
// An answered item has no responder any more. Whoever answers an item of a run takes its duplicates first (flights.h).
class Answers {
 public:
  // Times of live items are counted where there is a `liveLane`.
  explicit Answers(WorkQueue& queue, const LiveLane* liveLane = nullptr) : queue_(queue), liveLane_(liveLane) {}

  // The duplicates of an item that is about to be finished, to be finished as well.
  std::vector<QueuedItem> TakeDuplicates(QueuedItem& leader) const { return queue_.TakeDuplicates(leader); }

  // The item is about to fail for a reason of its own: its duplicates wait for a run again.
  void RequeueDuplicates(QueuedItem& leader) const { queue_.RequeueDuplicates(leader); }

  // Precondition: the item has no duplicates any more.
  void Finish(QueuedItem& queued, const ItemTimes& times) const {
    CountService(queued, times.endedNs);
    Release(queued, ItemStatus::kOk);
    queued.item.responder->Finish(times);
    Settle(queued);
  }

  // Fails the item, and its duplicates with it.
  void Fail(QueuedItem& queued, ItemStatus status, std::string_view message) const {
    std::vector<QueuedItem> duplicates = queue_.TakeDuplicates(queued);
    if (status == ItemStatus::kDeadlineExceeded) CountService(queued, MonotonicNowNs());
    Release(queued, status);
    queued.item.responder->Fail(status, message);
    Settle(queued);
    FailAll(std::move(duplicates), status, message);
  }

  void FailAll(std::vector<QueuedItem> items, ItemStatus status, std::string_view message) const {
    for (QueuedItem& queued : items) Fail(queued, status, message);
  }

 private:
  void CountService(const QueuedItem& queued, std::int64_t endedNs) const {
    if (liveLane_ == nullptr) return;
    const Company company = liveLane_->neighbours().CompanySince(queued.enqueuedNs, endedNs);
    queued.model->stats().service.Count(company, endedNs - queued.enqueuedNs);
  }
  void Release(const QueuedItem& queued, ItemStatus status) const {
    queued.model->stats().CountItem(status);
    queue_.Release(queued.item.clientId);
  }
  void Settle(QueuedItem& queued) const {
    queued.item.responder.reset();
    queue_.Done();
  }

  WorkQueue& queue_;
  const LiveLane* const liveLane_;
};

}  // namespace interleave
