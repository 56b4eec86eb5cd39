// The queue without a runtime: what the sanitizers can see in full.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "clock.h"
#include "memory_responder.h"
#include "run/answers.h"
#include "run/served_models.h"
#include "run/work_queue.h"

namespace interleave::test {

using Pushed = WorkQueue::Pushed;

inline constexpr std::size_t kExecutors = 3;
// Executors that are near no caller.
inline constexpr int kNoCpu = -1;

// Models of revisions 1 and 2.
class TwoModels {
 public:
  TwoModels() {
    for (const std::uint32_t revision : {1, 2}) {
      models_.Add({.name = "m", .version = "1", .revision = revision, .options = {}, .runRowsMax = 4, .runTokensMax = 100});
    }
  }
  ServedModels::Model operator[](std::uint32_t index) const { return models_.Find(index + 1); }

 private:
  ServedModels models_;
};

class WorkQueueTest : public ::testing::Test {
 protected:
  explicit WorkQueueTest(std::size_t clientItemsMax = 3) : clientItemsMax_(clientItemsMax) {}

  const std::size_t clientItemsMax_;
  TwoModels models_;
  WorkQueue queue_{{.lane = Lane::kRealtime,
                    .clientItemsMax = clientItemsMax_,
                    .cpus = std::vector<int>(kExecutors, kNoCpu),
                    .limits = [](const ServedModel& model) { return model.Limits(Lane::kRealtime); }}};
  Answers answers_{queue_};
  Inbox inbox_;

  QueuedItem Make(std::uint64_t id, std::uint64_t client = 1, std::int64_t deadlineNs = 0, std::uint32_t model = 0) {
    QueuedItem queued{.item = MakeItem(inbox_, id, {}), .shape = {}, .enqueuedNs = MonotonicNowNs(), .model = models_[model]};
    queued.item.clientId = client;
    queued.item.deadlineNs = deadlineNs;
    queued.item.revision = model + 1;
    return queued;
  }
  Pushed Push(QueuedItem queued) { return queue_.Push(queued); }
};

}  // namespace interleave::test
