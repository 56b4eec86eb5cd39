#pragma once

#include <string_view>

#include "run/served_model.h"
#include "run/work_queue.h"

namespace interleave {

// Answers items that were taken out of the queue, each exactly once, and keeps the books. Any thread, without a lock.
// An answered item has no responder any more.
class Answers {
 public:
  Answers(WorkQueue& queue, const ServedModels& models) : queue_(queue), models_(models) {}

  void Finish(QueuedItem& queued, const ItemTimes& times) const {
    Release(queued, ItemStatus::kOk);
    queued.item.responder->Finish(times);
    Settle(queued);
  }

  void Fail(QueuedItem& queued, ItemStatus status, std::string_view message) const {
    Release(queued, status);
    queued.item.responder->Fail(status, message);
    Settle(queued);
  }

  void FailAll(std::vector<QueuedItem> items, ItemStatus status, std::string_view message) const {
    for (QueuedItem& queued : items) Fail(queued, status, message);
  }

 private:
  void Release(const QueuedItem& queued, ItemStatus status) const {
    models_[queued.item.model]->stats().CountItem(status);
    queue_.Release(queued.item.clientId);
  }
  void Settle(QueuedItem& queued) const {
    queued.item.responder.reset();
    queue_.Done();
  }

  WorkQueue& queue_;
  const ServedModels& models_;
};

}  // namespace interleave
