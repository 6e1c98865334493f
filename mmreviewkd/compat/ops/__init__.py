"""mmcv's operators, computed with torchvision's kernels.

Each function has the signature with which ``mmcv/ops/*.py`` calls its compiled
namesake (mmcv 2.0 to 2.1), and fills the tensors that it is given. So everything
above (``batched_nms``, ``RoIAlign``, ``DCNv2``, ...) is mmcv's own code;
:mod:`.mmcv_ext` puts the functions where it looks for them. torchvision's kernels
for gradients have private names, the same in 0.16.2 to 0.29.1; with a public function,
each backward pass would have to run the forward pass again.
"""

import torchvision  # noqa: F401  (registers torch.ops.torchvision)

from .carafe import carafe_backward, carafe_forward
from .deform_conv import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from .focal_loss import sigmoid_focal_loss_backward, sigmoid_focal_loss_forward
from .masked_conv import masked_col2im_forward, masked_im2col_forward
from .nms import nms, nms_match, softnms
from .roi_pool import (
    roi_align_backward,
    roi_align_forward,
    roi_pool_backward,
    roi_pool_forward,
)

SERVED = (
    nms,
    softnms,
    nms_match,
    roi_align_forward,
    roi_align_backward,
    roi_pool_forward,
    roi_pool_backward,
    sigmoid_focal_loss_forward,
    sigmoid_focal_loss_backward,
    deform_conv_forward,
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    modulated_deform_conv_forward,
    modulated_deform_conv_backward,
    masked_im2col_forward,
    masked_col2im_forward,
    carafe_forward,
    carafe_backward,
)
