// mmcv's CUDA kernels of operators that it has no CPU version of, compiled for
// the CPU: a kernel is a loop over the elements of its output.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>

#define __device__
#define __global__
#define CUDA_1D_KERNEL_LOOP(i, n) for (int i = 0; i < (n); ++i)
using std::max;
using std::min;

template <typename T>
void atomicAdd(T* address, T value) {
  *address += value;
}

#include "carafe_naive_cuda_kernel.cuh"
#include "masked_conv2d_cuda_kernel.cuh"
#include "roi_pool_cuda_kernel.cuh"
#include "sigmoid_focal_loss_cuda_kernel.cuh"

extern "C" {
void focal_forward(int n, const float* input, const int64_t* target,
                   const float* weight, float* output, float gamma,
                   float alpha, int classes) {
  sigmoid_focal_loss_forward_cuda_kernel(n, input, target, weight, output,
                                         gamma, alpha, classes);
}

void focal_backward(int n, const float* input, const int64_t* target,
                    const float* weight, float* grad_input, float gamma,
                    float alpha, int classes) {
  sigmoid_focal_loss_backward_cuda_kernel(n, input, target, weight, grad_input,
                                          gamma, alpha, classes);
}

void roi_pool_forward(int n, const float* input, const float* rois,
                      float* output, int* argmax, int pooled_height,
                      int pooled_width, float scale, int channels, int height,
                      int width) {
  roi_pool_forward_cuda_kernel(n, input, rois, output, argmax, pooled_height,
                               pooled_width, scale, channels, height, width);
}

void roi_pool_backward(int n, const float* grad_output, const float* rois,
                       const int* argmax, float* grad_input, int pooled_height,
                       int pooled_width, int channels, int height, int width) {
  roi_pool_backward_cuda_kernel(n, grad_output, rois, argmax, grad_input,
                                pooled_height, pooled_width, channels, height,
                                width);
}
void masked_im2col(int n, const float* input, int height, int width,
                   int kernel_h, int kernel_w, int pad_h, int pad_w,
                   const int64_t* rows, const int64_t* columns, int count,
                   float* output) {
  MaskedIm2colForward(n, input, height, width, kernel_h, kernel_w, pad_h,
                      pad_w, rows, columns, count, output);
}

void masked_col2im(int n, const float* input, int height, int width,
                   int channels, const int64_t* rows, const int64_t* columns,
                   int count, float* output) {
  MaskedCol2imForward(n, input, height, width, channels, rows, columns, count,
                      output);
}

void carafe_forward(int n, const float* input, const float* masks,
                    float* output, int kernel_size, int groups, int scale,
                    int channels, int height, int width) {
  carafe_naive_forward_cuda_kernel(n, input, masks, output, kernel_size,
                                   groups, scale, channels, height, width);
}

void carafe_backward(int n, const float* grad_output, const float* input,
                     const float* masks, float* grad_input, float* grad_masks,
                     int kernel_size, int groups, int scale, int channels,
                     int height, int width) {
  carafe_naive_backward_cuda_kernel(n, grad_output, input, masks, grad_input,
                                    grad_masks, kernel_size, groups, scale,
                                    channels, height, width);
}
}
