#include "channel/responder.h"

#include <utility>

#include "channel/blocks.h"

namespace interleave {
namespace {

class ChannelResponder final : public Responder {
 public:
  ChannelResponder(std::shared_ptr<ServerClient> client, std::uint64_t itemId, const Block& response)
      : client_(std::move(client)), itemId_(itemId), writer_(response) {
    client_->signals().itemsInFlight.fetch_add(1);
  }

  ~ChannelResponder() override {
    if (!answered_) Fail(ItemStatus::kUnavailable, "the worker dropped the item");
  }

  void MarkRunning() override { writer_.MarkRunning(); }

  void MarkGuilty() override { writer_.MarkGuilty(); }

  std::byte* AddOutput(std::uint16_t index, ElementType type, const Shape& shape, std::size_t bytes) override {
    return writer_.AddOutput(index, type, shape, bytes);
  }

  void Finish(const ItemTimes& times) override {
    writer_.Finish(times);
    Complete();
  }

  void Fail(ItemStatus status, std::string_view message) override {
    writer_.Fail(status, message);
    Complete();
  }

 private:
  // The block belongs to the client again from here on. (When the client has gone, its memory is still mapped: writing
  // to it harms nobody.)
  void Complete() {
    answered_ = true;
    if (!client_->gone()) client_->Complete(itemId_);
    ServerSignals& signals = client_->signals();
    if (signals.itemsInFlight.fetch_sub(1) == 1 && signals.draining.load()) signals.WakeIoThread();
  }

  const std::shared_ptr<ServerClient> client_;
  const std::uint64_t itemId_;
  ResponseWriter writer_;
  bool answered_ = false;
};

}  // namespace

std::unique_ptr<Responder> MakeResponder(std::shared_ptr<ServerClient> client, std::uint64_t itemId,
                                         const Block& response) {
  return std::make_unique<ChannelResponder>(std::move(client), itemId, response);
}

}  // namespace interleave
