// Items and answers in plain memory: what the channel is to the executors, without a channel.
#pragma once

#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "item.h"

namespace interleave::test {

struct Tensor {
  ElementType type = ElementType::kFloat32;
  Shape shape;
  std::vector<std::byte> bytes;

  template <class T>
  std::vector<T> As() const {
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
};

inline Shape ShapeOf(const std::vector<std::int64_t>& dims) {
  Shape shape{.rank = static_cast<std::uint8_t>(dims.size()), .dims = {}};
  std::copy(dims.begin(), dims.end(), shape.dims.begin());
  return shape;
}

template <class T>
Tensor TensorOf(ElementType type, const std::vector<std::int64_t>& dims, const std::vector<T>& values) {
  Tensor tensor{.type = type, .shape = ShapeOf(dims), .bytes = {}};
  tensor.bytes.resize(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

struct Answer {
  ItemStatus status = ItemStatus::kOk;
  std::string message;
  std::map<int, Tensor> outputs;
  ItemTimes times;
  int timesMarkedRunning = 0;
};

// Collects answers by item id.
class Inbox {
 public:
  void Put(std::uint64_t itemId, Answer answer) {
    {
      const std::scoped_lock lock(mutex_);
      ++answered_[itemId];
      answers_[itemId] = std::move(answer);
    }
    changed_.notify_all();
  }
  // Waits until `count` items are answered. The test's time limit ends what never comes.
  std::map<std::uint64_t, Answer> Wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return answers_.size() >= count; });
    return answers_;
  }
  std::map<std::uint64_t, Answer> Now() {
    const std::scoped_lock lock(mutex_);
    return answers_;
  }
  void Start(std::uint64_t itemId) {
    {
      const std::scoped_lock lock(mutex_);
      started_.insert(itemId);
    }
    changed_.notify_all();
  }
  // Waits until an executor has begun to run this item.
  void WaitUntilRunning(std::uint64_t itemId) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return started_.contains(itemId); });
  }
  // Waits for the answer to one item.
  Answer WaitFor(std::uint64_t itemId) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return answers_.contains(itemId); });
    return answers_.at(itemId);
  }
  // Every item was answered exactly once.
  bool IsExact() {
    const std::scoped_lock lock(mutex_);
    for (const auto& [id, count] : answered_) {
      if (count != 1) return false;
    }
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Answer> answers_;
  std::map<std::uint64_t, int> answered_;
  std::set<std::uint64_t> started_;
};

class MemoryResponder : public Responder {
 public:
  MemoryResponder(Inbox& inbox, std::uint64_t itemId, std::vector<Tensor> inputs, std::size_t bytesMax)
      : inputs_(std::move(inputs)), inbox_(inbox), itemId_(itemId), bytesLeft_(bytesMax) {}

  void MarkRunning() override {
    ++answer_.timesMarkedRunning;
    inbox_.Start(itemId_);
  }
  void MarkGuilty() override {}
  std::byte* AddOutput(std::uint16_t index, ElementType type, const Shape& shape, std::size_t bytes) override {
    if (bytes > bytesLeft_) return nullptr;
    bytesLeft_ -= bytes;
    Tensor& tensor = answer_.outputs[index];
    tensor = {.type = type, .shape = shape, .bytes = std::vector<std::byte>(bytes)};
    static std::byte empty;
    return bytes == 0 ? &empty : tensor.bytes.data();
  }
  void Finish(const ItemTimes& times) override {
    answer_.times = times;
    Send();
  }
  void Fail(ItemStatus status, std::string_view message) override {
    answer_.status = status;
    answer_.message = message;
    answer_.outputs.clear();
    Send();
  }

  const std::vector<Tensor>& inputs() const { return inputs_; }

 private:
  // The inputs are the client's again: nobody may read them any more.
  void Send() {
    inputs_.clear();
    inbox_.Put(itemId_, std::move(answer_));
  }

  std::vector<Tensor> inputs_;
  Inbox& inbox_;
  const std::uint64_t itemId_;
  std::size_t bytesLeft_;
  Answer answer_;
};

inline Item MakeItem(Inbox& inbox, std::uint64_t itemId, std::vector<Tensor> inputs,
                     std::size_t responseBytesMax = std::size_t{1} << 24) {
  auto responder = std::make_unique<MemoryResponder>(inbox, itemId, std::move(inputs), responseBytesMax);
  Item item;
  item.clientId = 1;
  item.itemId = itemId;
  for (std::size_t i = 0; i < responder->inputs().size(); ++i) {
    const Tensor& tensor = responder->inputs()[i];
    item.inputs.push_back({.index = static_cast<std::uint16_t>(i),
                           .type = tensor.type,
                           .shape = tensor.shape,
                           .data = tensor.bytes.data(),
                           .bytes = tensor.bytes.size()});
  }
  item.responder = std::move(responder);
  return item;
}

}  // namespace interleave::test
