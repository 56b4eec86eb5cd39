// The queue without a runtime: what the sanitizers can see in full.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "clock.h"
#include "memory_responder.h"
#include "run/answers.h"
#include "run/work_queue.h"

namespace interleave::test {

using Pushed = WorkQueue::Pushed;

inline constexpr std::size_t kExecutors = 3;
// Executors that are near no caller.
inline constexpr int kNoCpu = -1;

inline ServedModels MakeModels() {
  ServedModels models;
  for (int i = 0; i < 2; ++i) {
    models.push_back(std::make_unique<ServedModel>(
        ModelPlan{.name = "m", .version = "1", .options = {}, .runRowsMax = 4, .runTokensMax = 100}));
  }
  return models;
}

class WorkQueueTest : public ::testing::Test {
 protected:
  explicit WorkQueueTest(std::size_t clientItemsMax = 3) : clientItemsMax_(clientItemsMax) {}

  const std::size_t clientItemsMax_;
  ServedModels models_ = MakeModels();
  WorkQueue queue_{{.lane = Lane::kRealtime,
                    .modelsCount = 2,
                    .clientItemsMax = clientItemsMax_,
                    .cpus = std::vector<int>(kExecutors, kNoCpu),
                    .limits = [this](std::vector<ModelLimits>& limits) {
                      for (std::size_t i = 0; i < limits.size(); ++i) limits[i] = models_[i]->Limits(Lane::kRealtime);
                    }}};
  Answers answers_{queue_, models_};
  Inbox inbox_;

  QueuedItem Make(std::uint64_t id, std::uint64_t client = 1, std::int64_t deadlineNs = 0, std::uint32_t model = 0) {
    QueuedItem queued{.item = MakeItem(inbox_, id, {}), .shape = {}, .enqueuedNs = MonotonicNowNs()};
    queued.item.clientId = client;
    queued.item.deadlineNs = deadlineNs;
    queued.item.model = model;
    return queued;
  }
  Pushed Push(QueuedItem queued) { return queue_.Push(queued); }
};

}  // namespace interleave::test
