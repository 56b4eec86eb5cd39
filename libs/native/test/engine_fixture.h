// The whole worker but the channel: real runtime, real executors.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "memory_responder.h"
#include "run/engine.h"
#include "test_models.h"

namespace interleave::test {

inline constexpr std::int64_t kSecondNs = 1'000'000'000;

inline ModelPlan PlanOf(const std::string& path, std::int64_t runTimeoutNs = 60 * kSecondNs) {
  return {.name = "model",
          .version = "1",
          .options = {.modelPath = path},
          .runRowsMax = 16,
          .runTokensMax = 512,
          .runTimeoutNs = runTimeoutNs};
}

// Model number i becomes version and revision i + 1.
inline EnginePlan With(std::vector<ModelPlan> models, Lane lane = Lane::kRealtime) {
  for (std::uint32_t i = 0; i < models.size(); ++i) {
    models[i].revision = i + 1;
    models[i].version = std::to_string(i + 1);
  }
  return {.lane = lane, .cpus = {0}, .models = std::move(models), .queueItemsMax = 100};
}

// An engine whose models have all been tried.
class LoadedEngine {
 public:
  explicit LoadedEngine(EnginePlan plan) : engine_(plan) {
    engine_.LoadModels(Library(), [this] {
      {
        const std::scoped_lock lock(mutex_);
        ++loaded_;
      }
      changed_.notify_all();
    });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return loaded_ == plan.models.size(); });
  }
  Engine* operator->() { return &engine_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t loaded_ = 0;
  Engine engine_;
};

inline std::vector<Tensor> Text(std::int64_t length, std::int64_t id = 1) {
  const auto count = static_cast<std::size_t>(length);
  return {TensorOf(ElementType::kInt64, {1, length}, std::vector<std::int64_t>(count, id)),
          TensorOf(ElementType::kInt64, {1, length}, std::vector<std::int64_t>(count, 1))};
}

inline std::vector<Tensor> Count(std::int64_t turns) {
  return {TensorOf<std::int64_t>(ElementType::kInt64, {1, 1}, {turns})};
}
inline constexpr std::int64_t kForever = std::int64_t{1} << 60;

class EngineTest : public ::testing::Test {
 protected:
  TempDir dir_;
  Inbox inbox_;
  std::string encoder_ = MaskedEncoder(dir_.File("encoder.onnx"));
  std::string counting_ = Counting(dir_.File("counting.onnx"));

  Item Make(std::uint64_t id, std::vector<Tensor> inputs, std::uint32_t model = 0) {
    Item item = MakeItem(inbox_, id, std::move(inputs));
    item.revision = model + 1;
    return item;
  }
  // Item 1 of model 0 holds the only executor until it is told to end.
  void Occupy(LoadedEngine& engine) {
    engine->OnItem(Make(1, Count(kForever)));
    inbox_.WaitUntilRunning(1);
  }
  Answer AnswerTo(std::uint64_t id) { return inbox_.WaitFor(id); }
};

}  // namespace interleave::test
