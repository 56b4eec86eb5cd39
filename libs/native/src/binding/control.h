// Control pages for the scheduler, and what a worker says about its live items. Declared for TypeScript in
// lib/addon.ts.
#pragma once

#include <napi.h>

#include "run/engine.h"

namespace interleave::binding {

Napi::Value ControlPageOpen(const Napi::CallbackInfo& info);
Napi::Value ControlPageControl(const Napi::CallbackInfo& info);
Napi::Value ControlPageRead(const Napi::CallbackInfo& info);

// NativeServiceTimes[] of lib/addon.ts.
Napi::Array ServiceToJs(Napi::Env env, const ServedModels& models);

}  // namespace interleave::binding
